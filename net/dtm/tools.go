//go:build tools

// What is built beside this program: the coordinator's server, in the same release as its client.
package main

import _ "github.com/dtm-labs/dtm"
