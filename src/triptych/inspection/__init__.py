"""Looking inside a trained model: what it attended to, and how sure it was. Imports no torch by
itself.
"""
