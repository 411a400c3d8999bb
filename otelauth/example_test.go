package otelauth_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/otelauth"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// The program chooses the SDK and its exporters; here somebody reads by hand.
func Example() {
	reader := sdkmetric.NewManualReader()
	telemetry, err := otelauth.New(otelauth.Config{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	if err != nil {
		log.Fatal(err)
	}
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := jwtauth.NewKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := jwtauth.New(jwtauth.Config{
		Issuer: "https://auth.example.com", Keys: keys, Secret: []byte("32 random bytes, as from openssl"),
		Store: jwtauth.NewMemoryStore(), Logger: slog.New(slog.DiscardHandler),
		Metrics: telemetry,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if _, err := auth.Login(ctx, jwtauth.Credentials{Login: "nobody", Password: "a long pass phrase"}); err != nil {
		fmt.Println(err)
	}
	if err := auth.Close(ctx); err != nil { // what was measured has left
		log.Fatal(err)
	}

	var data metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &data); err != nil {
		log.Fatal(err)
	}
	for _, m := range data.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
			fmt.Println(m.Name, sum.DataPoints[0].Value)
		}
	}
	// Output:
	// jwtauth: invalid_credentials: The user name or password is incorrect.
	// jwtauth.refusals 1
}
