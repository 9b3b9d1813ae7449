"""The emulated services of AEP: one module or package each."""
