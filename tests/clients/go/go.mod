module outrigger/clients

go 1.26
