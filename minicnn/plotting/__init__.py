"""Figures: their style (drawing.py), and the curves and confusion matrix of a training."""
