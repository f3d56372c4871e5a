"""From a study's `data` block to validated data: sources, columns, panel, samples."""
