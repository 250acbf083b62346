"""The Open Inference Protocol, as clients of Triton and KServe speak it."""
