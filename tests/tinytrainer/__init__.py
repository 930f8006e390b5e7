"""A trainer for tests that are not about Paddle: the real one, with one file replaced.

The node, its stages, storage, rendezvous, receipts, checkpoints and publishing are the trainer's own code. Only the
worker program, `trainer/ppocr/worker.py`, is `tests/tinytrainer/worker.py`: a small numpy model that learns to spell
the training set, averages its gradients with the other ranks over TCP, and needs seconds where the real one needs
minutes. It knows recognition only. `assemble.py` puts the two together; the Dockerfile makes an image of them.
"""
