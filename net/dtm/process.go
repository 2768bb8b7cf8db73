package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

// process is a program of ours that is killed and started again.
type process struct {
	path, dir, log string
	arguments, env []string

	mutex sync.Mutex
	child *exec.Cmd
}

func (p *process) start() error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	child := exec.Command(p.path, p.arguments...)
	child.Dir = p.dir
	child.Env = append(os.Environ(), p.env...)
	child.Stdout, child.Stderr = log, log
	if err := child.Start(); err != nil {
		return err
	}
	p.child = child
	return nil
}

// kill ends it at once, as kill -9 does, and waits for its end.
func (p *process) kill() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.child == nil {
		return
	}
	_ = p.child.Process.Kill()
	_ = p.child.Wait()
	p.child = nil
}

// freePort is one that nobody has. It is needed before the start: addresses outlive a restart.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// until waits for something to be so, and says why it is not when the time is over.
func until(limit time.Duration, isSo func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := isSo()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: %w", limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
