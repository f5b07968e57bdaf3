"""What a listener answers, as an OpenAPI document: from its URLs, and what stands beside each endpoint."""
