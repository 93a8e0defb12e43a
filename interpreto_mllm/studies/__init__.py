"""Studies: configs, data, runs over many samples, their artifacts and reports."""
