"""`python -m triptych`, so that torchrun can start it: torchrun -m triptych train RECIPE."""

from triptych.cli.main import main

if __name__ == "__main__":
    main()
