"""How onnxruntime opens graphs: the options under which their parity was proved."""

from functools import cache

import onnxruntime as ort

CPU_PROVIDER = "CPUExecutionProvider"


def session_options() -> ort.SessionOptions:
    """Return options for one thread without spinning: fastest for small models at any load (onnxruntime#16304)."""
    _share_arena()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")  # the arena below
    options.log_severity_level = 4  # errors are raised; written as well, they would wait for whoever reads the log
    return options


@cache
def _share_arena() -> None:
    """Give all graphs of this process one arena.

    It keeps what the runs of one moment needed at most. By default, each graph has its own, and keeps what it needed.
    """
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({}))
