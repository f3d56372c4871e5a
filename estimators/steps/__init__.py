"""Data steps: panel -> panel. One file each; the file name is the name in a study."""
