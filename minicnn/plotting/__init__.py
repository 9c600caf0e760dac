"""Figures: their style (drawing.py), the curves of a training, the confusion
matrix, the measures of a classifier, and several runs side by side."""
