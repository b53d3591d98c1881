"""The pages: server-rendered, readable without JavaScript, live with it. They change things through the API only."""
