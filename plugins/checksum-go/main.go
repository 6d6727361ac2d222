// A plugin that is a compiled program: an entry point without .py, .js or .sh is run as it is. It answers
// GET /health, GET /info, POST /execute and POST /shutdown on the port that PLUGIN_PORT names.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

const version = "1.0.0"

type object map[string]any

// request is the body of POST /execute; the context also has execution_id, flow_id, variables and step_outputs.
type request struct {
	Action string `json:"action"`
	Config struct {
		Text     string `json:"text"`
		Expected string `json:"expected"`
	} `json:"config"`
	Context struct {
		StepID string `json:"step_id"`
	} `json:"context"`
}

func info() object {
	text := object{"type": "string"}
	return object{
		"id": "my-go-plugin", "name": "Checksums in Go", "version": version,
		"actions": []object{{
			"id": "my-go-plugin.sha256", "name": "SHA-256",
			"description": "Computes the SHA-256 of a text, and compares it when an expected one is given",
			"schema": object{
				"type":       "object",
				"properties": object{"text": text, "expected": text},
				"required":   []string{"text"},
			},
		}},
	}
}

func execute(r request) object {
	if r.Action != "my-go-plugin.sha256" {
		return failure("UNKNOWN_ACTION", "there is no action "+r.Action, object{})
	}
	sum := sha256.Sum256([]byte(r.Config.Text))
	found := hex.EncodeToString(sum[:])
	if r.Config.Expected != "" && r.Config.Expected != found {
		details := object{"expected": r.Config.Expected, "found": found}
		return failure("CHECKSUM_MISMATCH", "the text has another checksum", details)
	}
	message := fmt.Sprintf("checksum of %d bytes for step %s", len(r.Config.Text), r.Context.StepID)
	return object{
		"success": true,
		"output":  object{"sha256": found, "size": len(r.Config.Text)},
		"logs":    []object{{"level": "info", "message": message}},
	}
}

func failure(code, message string, details object) object {
	problem := object{"code": code, "message": message, "details": details}
	return object{"success": false, "output": object{}, "error": problem}
}

func answer(w http.ResponseWriter, status int, data object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(data); err != nil {
		log.Print(err)
	}
}

func main() {
	started := time.Now()
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PLUGIN_PORT")}
	http.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		uptime := int(time.Since(started).Seconds())
		answer(w, 200, object{"status": "healthy", "version": version, "uptime_seconds": uptime})
	})
	http.HandleFunc("/info", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, info())
	})
	http.HandleFunc("/execute", func(w http.ResponseWriter, r *http.Request) {
		var body request
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			answer(w, 400, failure("BAD_REQUEST", err.Error(), object{}))
			return
		}
		answer(w, 200, execute(body))
	})
	ended := make(chan struct{})
	http.HandleFunc("/shutdown", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, object{"message": "shutting down"})
		go func() {
			defer close(ended)
			if err := server.Shutdown(context.Background()); err != nil {
				log.Print(err)
			}
		}()
	})
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-ended
}
