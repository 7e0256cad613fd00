"""Readers of arrays: .npy and .npz files of your own, and the arrays and pickles of other programs."""
