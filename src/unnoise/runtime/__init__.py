"""What the machine can do: devices, precision, threads, CUDA graphs, batch sizes."""
