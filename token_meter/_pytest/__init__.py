"""Parts of the pytest plugin, loaded when a session needs them."""
