"""Gradient checking. check.py compares a backward with central differences, suite.py does so for
all of minicnn's layers and losses or for one of yours, explain/ says in words what is wrong."""

from .check import Gradcheck, gradcheck
from .compare import Row

__all__ = ["Gradcheck", "Row", "gradcheck"]
