// Command tiny is the whole content of the image that most tests run: small, static, ready in a moment.
// Without arguments it waits, as the sandbox of a pod must.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const help = `usage: tiny [COMMAND [ARGUMENT...]]

  pause                  wait for SIGTERM, and reap orphans (the default)
  echo TEXT...           print
  cat FILE...            print files
  env NAME...            print variables
  id                     print the user's number
  write FILE TEXT        make a file
  exit CODE [FILE TEXT]  leave with a code, after writing a file; - is the log
  serve PORT             answer each request with the host's name, GET /metrics with their number for Prometheus, and
                         POST /exit with an end of this process
  get URL [SECONDS]      print what a URL answers; try until the time is over (default 30)
  resolve NAME [SECONDS] print the addresses of a name; try until the time is over
  eat MEBIBYTES          fill memory, then wait
`

func main() {
	arguments := os.Args[1:]
	if len(arguments) == 0 {
		arguments = []string{"pause"}
	}
	if err := run(arguments[0], arguments[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tiny:", err)
		os.Exit(1)
	}
}

func run(command string, arguments []string) error {
	least := map[string]int{"exit": 1, "write": 2, "serve": 1, "get": 1, "resolve": 1, "eat": 1}
	if len(arguments) < least[command] {
		return fmt.Errorf("%s wants more arguments\n%s", command, help)
	}
	switch command {
	case "pause":
		pause()
	case "echo":
		fmt.Println(strings.Join(arguments, " "))
	case "cat":
		return cat(arguments)
	case "env":
		for _, name := range arguments {
			fmt.Printf("%s=%s\n", name, os.Getenv(name))
		}
	case "id":
		fmt.Println(os.Getuid())
	case "write":
		return os.WriteFile(arguments[0], []byte(strings.Join(arguments[1:], " ")), 0o644)
	case "exit":
		return exit(arguments)
	case "serve":
		return serve(arguments[0])
	case "get":
		return again(arguments[1:], func() error { return get(arguments[0]) })
	case "resolve":
		return again(arguments[1:], func() error { return resolve(arguments[0]) })
	case "eat":
		return eat(arguments[0])
	default:
		return fmt.Errorf("no such command: %s\n%s", command, help)
	}
	return nil
}

func pause() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

func cat(names []string) error {
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", strings.TrimRight(string(content), "\n"))
	}
	return nil
}

func exit(arguments []string) error {
	code, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	if len(arguments) > 2 && arguments[1] == "-" {
		fmt.Fprintln(os.Stderr, strings.Join(arguments[2:], " "))
	} else if len(arguments) > 2 {
		if err := os.WriteFile(arguments[1], []byte(strings.Join(arguments[2:], " ")), 0o644); err != nil {
			return err
		}
	}
	os.Exit(code)
	return nil
}

func serve(port string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	var requests atomic.Int64
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		fmt.Fprintln(answer, name)
	})
	http.HandleFunc("GET /metrics", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(answer, "# TYPE tiny_requests_total counter\ntiny_requests_total %d\n", requests.Load())
	})
	http.HandleFunc("POST /exit", func(http.ResponseWriter, *http.Request) { os.Exit(0) })
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() { <-signals; os.Exit(0) }()
	return http.ListenAndServe(":"+port, nil)
}

// again tries until it works, or the time is over.
func again(arguments []string, try func() error) error {
	limit := 30 * time.Second
	if len(arguments) > 0 {
		seconds, err := strconv.ParseFloat(arguments[0], 64)
		if err != nil {
			return err
		}
		limit = time.Duration(seconds * float64(time.Second))
	}
	end := time.Now().Add(limit)
	for {
		err := try()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func get(url string) error {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", strings.TrimRight(string(body), "\n"))
	return nil
}

func resolve(name string) error {
	addresses, err := net.LookupHost(name)
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(addresses, " "))
	return nil
}

func eat(mebibytes string) error {
	count, err := strconv.Atoi(mebibytes)
	if err != nil {
		return err
	}
	var kept [][]byte
	for range count {
		block := make([]byte, 1<<20)
		for index := 0; index < len(block); index += 4096 {
			block[index] = 1
		}
		kept = append(kept, block)
	}
	pause()
	fmt.Fprintln(io.Discard, len(kept))
	return nil
}
