"""Language models' protocols, one package per vendor."""
