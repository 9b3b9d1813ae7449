"""A small AEP on loopback: accepts what AEP accepts, refuses what AEP refuses, and ingests real rows.

It is written from Adobe's documents and shares no code with the client, so that neither can hide the other's mistake.
"""
