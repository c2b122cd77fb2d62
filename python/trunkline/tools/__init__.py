"""Tools that a model may call: definitions, schemas from functions, dispatch."""
