"""What TensorBoard shows of runs and sweeps, and the server that shows it (`scripts/review.py`). Nothing is imported
here: a path where nothing is to be seen is refused at once.
"""
