"""What the shipped recipes share. Not a recipe: the catalogue never lists it.

Imports go one way only:

    job           what the queue grants a recipe, and what it reports back
    data          tables: reading, checking, splitting
    flags         the command-line flags that several recipes have
    checkpoints   saving, stopping and resuming
    models        reporting a saved model
    pipelines     scikit-learn: preparation, scores, saving
    linear        scikit-learn: linear models fitted in steps, with cross-validation
    networks      Keras: encoding tables, building, scores, saving and loading
    training      Keras: the training loop, with checkpoints and early stopping
    evaluation    tables and pictures of what a model predicts

No module imports a framework before one of its functions is called: a recipe starts quickly, and sets the
number of threads first. `cro-tui recipe copy NAME FILE` writes a recipe with the parts it uses inlined.
"""
