"""Why plain recurrent networks fail at long memory, measured: gradients, Jacobians, learning, clipping.

problems and windows     what is learnt: artificial problems, and windows of the shipped tasks' data
variants, network        by which recurrent layer, and the network around it
gradient_norms, jacobians    measure a network
learning, clipping       train a network
plan, stages             list the cases of a run, and run them
results, curves          write and read the files of cases
report, panels, plots    show the results
command                  `python -m training diagnose`
"""
