"""Image deblurring guided by Segment Anything. Importing this package imports nothing heavy."""

__version__ = "0.1.0"
