"""Why plain recurrent networks fail at long memory, measured: gradients, Jacobians, learning, clipping.

problems and windows say what is to be learnt, variants with which cell; gradient_norms and jacobians measure a network,
learning and clipping train it; plan lists the cases of a run, stages runs them, report and
plots show what they left.
"""
