"""The onboarding file: models, loader, checks, plan and apply."""
