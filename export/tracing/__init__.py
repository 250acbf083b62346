"""A module with named inputs and outputs becomes an ONNX graph: traced by torch, repeated, made small."""
