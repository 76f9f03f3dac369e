package attach

import "os"

// agentProcess tells the test's program to be an agent.
const agentProcess = "TST_ATTACH_AGENT"

func runAgentProcess() { os.Exit(3) }
