"""An emulator of Adobe Experience Platform (AEP): it validates requests as AEP does and ingests real rows.

It is written from Adobe's documentation and shares no code with the provider, so that neither hides the other's faults.
"""
