"""The pages that people look at: one module for each family of them."""
