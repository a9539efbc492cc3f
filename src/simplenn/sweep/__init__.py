"""A sweep on disk: its tables and arrays (`store`), its runs' directories (`directories`). Knows no training.

`batch.Batch` is what both are written from. Nothing is imported here: `results` answers without torch.
"""
