module github.com/go-jwtauth/jwtauth

go 1.25.0
