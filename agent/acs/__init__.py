"""TR-069: what an auto-configuration server decides, and the words it speaks. The effects are the store's and web's."""
