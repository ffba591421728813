package behavry.authz

deny if {
	input.mcp_server == "ollama-proxy"
	blocked := {"llama2-uncensored", "dolphin-mixtral", "wizard-vicuna-uncensored"}
	blocked[input.model]
}

deny if {
	input.mcp_server == "ollama-proxy"
	input.agent_role == "intern"
	input.model != "llama3.2"
}

deny if {
	input.mcp_server == "ollama-proxy"
	restricted := {"contractor", "guest"}
	restricted[input.agent_role]
	startswith(input.model, "codellama")
}
