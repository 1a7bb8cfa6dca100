raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
