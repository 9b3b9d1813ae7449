"""Flow runs: select and observe a run, decide its verdict, and start runs on demand."""
