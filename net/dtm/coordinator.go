package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
)

// coordinator is a DTM server with its own embedded store.
type coordinator struct {
	process process
	// Base address of its HTTP interface, and host:port of its gRPC.
	http, grpc string
}

func newCoordinator(dtm, dir string) (*coordinator, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	ports := [3]int{}
	for i := range ports {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		ports[i] = port
	}
	c := &coordinator{
		http: fmt.Sprintf("http://127.0.0.1:%d/api/dtmsvr", ports[0]),
		grpc: fmt.Sprintf("127.0.0.1:%d", ports[1]),
	}
	c.process = process{
		path: dtm,
		// Its store is a file in the folder where it runs.
		dir: dir,
		log: dir + ".log",
		env: []string{
			fmt.Sprintf("HTTP_PORT=%d", ports[0]),
			fmt.Sprintf("GRPC_PORT=%d", ports[1]),
			fmt.Sprintf("JSON_RPC_PORT=%d", ports[2]),
		},
	}
	return c, nil
}

func (c *coordinator) start() error {
	if err := c.process.start(); err != nil {
		return err
	}
	return until(startLimit, func() error {
		response, err := http.Get(c.http + "/newGid")
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
}

// status of a global transaction; empty when the coordinator never heard of it.
func (c *coordinator) status(gid string) (string, error) {
	response, err := http.Get(c.http + "/query?gid=" + url.QueryEscape(gid))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var found struct {
		Transaction *struct{ Status string }
	}
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return "", fmt.Errorf("%s: %w", response.Status, err)
	}
	if found.Transaction == nil {
		return "", nil
	}
	return found.Transaction.Status, nil
}
