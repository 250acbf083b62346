"""Who uses the service: each user asks, checks what is answered, and reports failures by kind."""
