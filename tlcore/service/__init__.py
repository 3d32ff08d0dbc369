"""The use cases that pages and command line call.

datasets: add, list, show. models: questions about models, weights and devices. plans: what a comparison would do,
checked. comparisons: launch, watch, read. take_home: predictions and downloads. system: health. demo: the sample.
"""
