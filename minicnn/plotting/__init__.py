"""Figures: their style (drawing.py), the curves of a training, and the confusion matrix."""
