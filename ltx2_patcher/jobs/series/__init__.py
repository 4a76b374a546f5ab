"""The patch series: obtain a base, apply, export, follow upstream's drift."""
