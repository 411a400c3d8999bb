package integration_test

import (
	"os"
	"testing"
)

// TestMain serves a store instead of testing if a test has started this program
// as a second node.
func TestMain(m *testing.M) {
	if os.Getenv(nodeEnv) != "" {
		serveNode()
		return
	}
	os.Exit(m.Run())
}
