"""Run one small eval suite in several tools, side by side."""
