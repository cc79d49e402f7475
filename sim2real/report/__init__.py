"""Reports: results explained in one HTML file, with plots and videos inside."""
