"""How onnxruntime opens graphs: the options under which their parity was proved."""

import onnxruntime as ort

CPU_PROVIDER = "CPUExecutionProvider"


def session_options() -> ort.SessionOptions:
    """Return options for one thread without spinning: fastest for small models at any load (onnxruntime#16304)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised; written as well, they would wait for whoever reads the log
    return options
