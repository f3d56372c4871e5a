"""The built-in plugins: one file is one plugin, and the file name is its name."""
