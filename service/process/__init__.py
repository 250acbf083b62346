"""A worker as a process among others on a machine.

Before BentoML is loaded:

    graceful           how long a graceful end takes
    memory_limit       the memory limit of the control group
    bentoml_home       BentoML's own directories
    xdg                directories of a user's own files

In the first process, which BentoML starts:

    service_directory  the directory that the service's processes share
    process_manager    changes to BentoML's process manager
    watch              ends a service that cannot start, and kills workers that hang
    starts, heartbeats  what its decisions are made of (pure)
    deaths             logs what ended each worker

In a worker:

    messages           its messages to the first process
    seats              which workers serve, and which one waits
    sigterm            drains before its end
    parent             dies with the first process
    allocator          keeps freed memory
    collector          collects garbage when idle

In both:

    metric_files       what all of them count
    output             standard output and error without waiting
    open_files         how many files may be open
    user_signals       SIGUSR1 and SIGUSR2
    wall_clock         the wall clock, which may be set
"""
